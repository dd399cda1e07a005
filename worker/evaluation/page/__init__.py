"""`report.html`: one file without scripts, which loads nothing, and is well-formed XML besides.

Names of classes and files are whatever their makers chose: all of them go through `markup.text`.
"""
