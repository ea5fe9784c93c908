#!/usr/bin/env bash
# Builds ./otari.pyz: the gateway and all its libraries in one file. Needs Python 3.11 or newer with venv, and bash.
#
#   scripts/build_zipapp.sh           build, unless otari.pyz is up to date
#   scripts/build_zipapp.sh --force   build in any case
#
# PYTHON is the interpreter to build with and for (default python3). BUILD_VENV is where the build's own tools live
# (default build/venv). The same sources and the same interpreter give the same bytes, wherever they lie.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONOPTIMIZE PYTHONHOME PIP_TARGET PIP_PREFIX PIP_USER

python=${PYTHON:-python3}
venv=${BUILD_VENV:-build/venv}
site=build/site
source=build/source

# Libraries that nothing of ours imports: tiktoken would download with them, and we bring its tables along.
unused=(requests urllib3 certifi charset_normalizer)

say() { printf 'build: %s\n' "$*"; }
stop() { printf 'build: %s\n' "$*" >&2; exit 1; }

# A digest of everything that goes into the file.
fingerprint() {
    {
        "$python" -VV
        "$python" -c 'import sys, zlib; print(sys.implementation.cache_tag, sys.platform, zlib.ZLIB_RUNTIME_VERSION)'
        find otari config scripts/*zipapp* scripts/preflight.py scripts/pack_tokens.py scripts/extract_prices.py \
            scripts/shrink_elf.py requirements/run.txt requirements/build.txt setup.cfg pyproject.toml README* LICENSE* \
            -type f -not -path '*/__pycache__/*' -not -name '*.pk' -print0 | sort -z | xargs -0 sha256sum
    } | sha256sum | cut -d' ' -f1
}

# The build's own tools, as locked in requirements/build.txt.
prepare_tools() {
    local wanted
    wanted=$({ cat requirements/build.txt; "$python" -VV; "$python" -c 'import sys; print(sys.executable)'; } | sha256sum)
    if [[ -f $venv/wanted && $(<"$venv/wanted") == "$wanted" ]]; then return; fi
    say "installing the build tools into $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv" || stop "$python can not make virtual environments; on Debian: apt install python3-venv"
    "$venv/bin/python" -m pip install --quiet --require-hashes --requirement requirements/build.txt
    printf '%s\n' "$wanted" >"$venv/wanted"
}

# Our own files, copied, so that no leftovers of other tools get in and none of pip's stay in the sources.
copy_source() {
    mkdir -p "$source"
    cp -R otari config setup.cfg pyproject.toml "$source"
    for text in README.md LICENSE; do
        if [[ -f $text ]]; then cp "$text" "$source"; fi
    done
    find "$source" \( -name '__pycache__' -o -name '*.egg-info' \) -prune -exec rm -rf {} +
    "$venv/bin/python" scripts/pack_tokens.py "$source/config"
}

# The default prices come from the wheel that requirements/dev.txt locks. It is read and never installed, so nothing that
# it needs gets in. What is extracted must be what was committed: nobody else would have looked at it.
extract_prices() {
    rm -rf build/prices
    mkdir build/prices
    sed -n '/^genai-prices==/,/[^\\]$/p' requirements/dev.txt >build/prices/wanted.txt
    "$venv/bin/python" -m pip download --quiet --no-deps --only-binary :all: --require-hashes \
        --requirement build/prices/wanted.txt --dest build/prices
    "$venv/bin/python" scripts/extract_prices.py "$source/config/prices.json" build/prices/*.whl
    cmp -s config/prices.json "$source/config/prices.json" \
        || stop "config/prices.json is not what the locked genai-prices holds; see 'make prices'"
}

install_everything() {
    say "installing the libraries"
    "$venv/bin/python" -m pip install --quiet --no-compile --only-binary :all: --require-hashes \
        --requirement requirements/run.txt --target "$site"
    say "installing otari"
    "$venv/bin/python" -m pip install --quiet --no-compile --no-deps --no-build-isolation --no-index \
        --target build/otari "$source"
    rm -rf build/otari/bin
    cp -R build/otari/. "$site"
}

# Take out what no user needs, and what depends on the machine that builds.
trim() {
    for name in "${unused[@]}"; do
        rm -rf "$site/$name" "$site/$name"-*.dist-info
    done
    rm -rf "$site/bin"
    find "$site" -type d -name tests -prune -exec rm -rf {} +
    find "$site" -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.[ch]' \
        -o -name '_testcapi*' -o -name '*.pyc' -o -path '*/aiohttp/test_utils.py' -o -name 'pytest_plugin.py' \
        -o -path '*.dist-info/RECORD' -o -path '*.dist-info/INSTALLER' -o -path '*.dist-info/REQUESTED' \
        -o -path '*.dist-info/direct_url.json' \) -delete
    "$venv/bin/python" scripts/shrink_elf.py "$site"
    local links
    links=$(find "$site" -name '*.pth')
    if [[ -n $links ]]; then stop "these files would run code at every start: $links"; fi
}

pack() {
    say "packing"
    "$venv/bin/shiv" --reproducible --entry-point otari.cli:main --site-packages "$site" --output-file build/raw.pyz
    "$venv/bin/python" scripts/finish_zipapp.py build/raw.pyz scripts/preflight.py build/otari.pyz
}

# Does it start where there is nothing: no environment, no home?
smoke() {
    local empty bare
    empty=$(mktemp -d)
    bare=(env -i PATH="$PATH" OTARI_CACHE_DIR="$empty/cache" "$python" build/otari.pyz)
    "${bare[@]}" --help >/dev/null || stop "otari.pyz --help fails"
    "${bare[@]}" version >/dev/null || stop "otari.pyz version fails"
    if [[ -e $empty/cache ]]; then stop "otari.pyz --help unpacks its libraries; it must not"; fi
    SHIV_INTERPRETER=1 OTARI_CACHE_DIR="$empty/cache" "$python" build/otari.pyz - <<<'
import aiohttp, msgspec, orjson, pypdf, tiktoken, yaml
import aiohttp._http_parser, multidict._multidict, yaml._yaml, yarl._quoting_c
from importlib.resources import files
assert (files("otari.data") / "o200k_base.pk").is_file()
assert (files("otari.data") / "prices.json").is_file() and (files("otari.data") / "NOTICE.prices").is_file()
' || stop "the libraries in otari.pyz can not be imported"
    rm -rf "$empty"
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || stop "$python is too old; set PYTHON to 3.11 or newer"
mkdir -p build
inputs=$(fingerprint)
if [[ ${1-} != --force && -f otari.pyz && -f build/inputs && $(<build/inputs) == "$inputs $(sha256sum otari.pyz)" ]]; then
    say "otari.pyz is up to date"
    exit 0
fi
rm -rf "$site" "$source" build/otari build/raw.pyz build/otari.pyz build/inputs
prepare_tools
copy_source
extract_prices
install_everything
trim
pack
smoke
mv build/otari.pyz otari.pyz
printf '%s %s\n' "$inputs" "$(sha256sum otari.pyz)" >build/inputs
say "otari.pyz, $(wc -c <otari.pyz) bytes, sha256 $(sha256sum otari.pyz | cut -d' ' -f1)"
