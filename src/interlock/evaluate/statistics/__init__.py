"""Statistics of one result: what its numbers say, how many items they need, and how often one may look.

`estimate` is the number with all that must be told with it, `intervals` its bounds, `paired` the comparison of two
runs on the same items, `attempts` success within k tries, `middle` a median, `rare` what was hardly ever seen;
`planning` says how many items a policy's line needs, `looks` orders the items beforehand and keeps every look. Nothing
here decides: the rule is in `interlock.decide`, whose exact bounds are the ones used here.
"""
