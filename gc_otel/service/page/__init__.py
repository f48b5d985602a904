"""The live page and its JSON API: what the flight files hold, for a browser.

Everything but the page's own scripts and styles wants the token (:mod:`.token`, :mod:`.access`).
"""
