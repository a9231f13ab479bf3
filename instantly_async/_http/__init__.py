"""How it goes: the only room that imports aiohttp's client."""
