"""Policies side by side, held out, at the same spends; see `tcalloc.compare`.

==================  ====================================================================================
module              what it is for
==================  ====================================================================================
`compare`           the call: checks, runs, figures, one result
`fit`               the other call: a policy and its held-out figures, as ``tcalloc fit`` prints them (`fit_report`);
                    `recipe`: the actions and settings that a policy is fitted with
`refit`             the next policy from what a gateway explored (`traffic`), beside the one that is served
                    (`judged_replay`), and whether to swap them (`refit_report`); `saving`: what it saves
`problem`           what is compared on: checked input; `menu`: the actions in it
`contestants`       who takes part, each as a function from training questions to held-out figures
`run_folds`         their folds, in processes, with a progress bar
`statistics`        spends matched, intervals over questions, corrected p-values
`standings`         how everyone stands: gains, shares of the oracle's, curves, what looks suspicious
`result`            the figures: `ComparisonFigures` and `Standing`
`comparison`        `Comparison`: what a user holds and prints
`printed_table`     the table; `caveats`: what limits it, in plain words
`conclusions`       which policy to use, and how sure that is, in words
`plots`             accuracy over spend, drawn (extra ``plot``)
`report`            one HTML page
==================  ====================================================================================
"""
