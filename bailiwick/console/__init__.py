"""The console: web pages for people. Rendered here, no build step; whatever it does, it asks of the gateway's desk.

INVARIANT: a page is written by templates that escape everything (`rendering`); what changes something is a POST whose
origin and token were checked (`access`); each login, logout, refusal and action is on record.
"""
