"""The gateway's page at ``/`` (extra ``serve``), and its status as JSON.

==============  ========================================================================================
module          what it is for
==============  ========================================================================================
`status`        what is known of a gateway, as one document of JSON: what the page shows is what is in it
`figures`       this document as sections of HTML (Jinja2); `words`: its sentences; `curves`: its pictures
`document`      the page itself: it holds no data, and asks for the figures, with a key if that is needed
`routes`        the three addresses
==============  ========================================================================================
"""
