"""The HTTP edge: routes in, answers out. The only folder that imports aiohttp.web."""
