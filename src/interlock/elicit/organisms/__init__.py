"""Model organisms: models with a known skill, which some of them hide, so that elicitation can be tried on the truth.

`skills` has what they know, `kinds` what they show of it, `tiny` the transformers, `making` the training, `measuring`
what came of it, `sealing` how its truth is kept apart, `suite` many of them. `shipped` has one made of SmolLM2-135M.
"""
