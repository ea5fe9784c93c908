"""The tests of the program. Whatever order or number of workers they run in, each has a session of its own."""

import app


def test_the_weather_is_measured_and_told():
    measured = []

    def measure(city):
        measured.append(city)
        return "7 degrees"

    assert app.weather("Oslo", measure) == "In Oslo it is 7 degrees."
    assert measured == ["Oslo"]


def test_a_busy_model_is_asked_again():
    assert app.complete([{"role": "user", "content": "Hello, are you there?"}])["content"] == "Yes."
