"""The parts of `ml/generate.py`.

`shop` and `personas` hold the numbers, `draws` the random draws. `profiles` gives each customer
true parameters, `orders` lets them buy, `lines` fills the orders and returns some lines, and
`dirty_rows` plants the defects. `raw_tables` and `truth` turn all this into the four tables that
have rows.
"""
