"""Policies side by side, held out, at the same spends; see `tcalloc.compare`.

==================  ====================================================================================
module              what it is for
==================  ====================================================================================
`compare`           the call: checks, runs, figures, one result
`problem`           what is compared on: checked input; `offering`: the actions in it
`contestants`       who takes part, each as a function from training questions to held-out figures
`running`           their folds, in processes, with a progress bar
`figures`           spends matched, intervals over questions, corrected p-values
`standings`         how everyone stands: gains, shares of the oracle's, curves, what looks suspicious
`result`            `Comparison` and `Standing`
`words`             the printed table and the caveats in plain words
`advice`            which policy to use, and how sure that is; `headline`, `saying`: in which words
`plots`             accuracy over spend, drawn (extra ``plot``)
`report`            one HTML page
==================  ====================================================================================
"""
