"""`whygrad play`: a page whose knobs turn real PyTorch.

The server listens on this machine only. What a page may send it:

    GET  /TOKEN/            the page: HTML with `<main id="whygrad">`, which loads ./live.js
    GET  /TOKEN/live.js     opens a session and loads the script of its level: neuron.js, network.js or run.js
    POST /TOKEN/api         JSON in, JSON out; Content-Type: application/json

    {"kind": "open", "config": {…} or null}         → {"session": "…", "page": Page}
    {"session": "…", "kind": KIND, …in of Asks}     → out of Asks (web/src/types.ts)
    {"session": "…", "kind": "close"}               → {}

KIND is why, copy, values, tile, goto, configure, advance, seek or set. What cannot be done answers 4xx and
{"error": a sentence}: 400 what was asked is wrong, 403 not this page, 404 no such place, 409 the session is busy, 410 the
session has ended (open another with the config of the URL), 413 too long.

`config` has a key per knob; what is left out is the default. `LiveState.choices` and `LiveState.limits` have the knobs'
names too. `config.level` is "neuron" or "network". See `config.py`.
"""
