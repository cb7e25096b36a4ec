"""The simulated shop: its calendar, its products and what customers can choose from."""

from datetime import UTC, date, datetime, time

# Customers arrive in whole weeks that start on a Wednesday, so that the last week ends with the
# simulation.
FIRST_DAY = date(2023, 7, 5)
WEEKS = 156
DAY = 24 * 60 * 60
WEEK = 7 * DAY
FIRST_SECOND = int(datetime.combine(FIRST_DAY, time(), UTC).timestamp())
LAST_SECOND = FIRST_SECOND + WEEKS * WEEK - 1  # on 2026-06-30
LAST_FUTURE_SECOND = LAST_SECOND + 365 * DAY

# How busy each month is, January first; 1 is the average month.
MONTHS = (0.90, 0.86, 0.95, 0.98, 1.00, 0.97, 0.80, 0.82, 1.00, 1.05, 1.28, 1.39)
# The same for purchases for the holiday season: November and December only.
HOLIDAY_MONTHS = (0.0,) * 10 + (6.0, 6.0)
# Early November to Christmas: first week in each simulated year, from 0, and number of weeks.
HOLIDAY_WEEKS = (18, 7)

CATEGORIES = ("Groceries", "Home", "Health", "Fashion", "Electronics", "Toys", "Books", "Sports")
UNIT_PRICES = (5.0, 24.0, 12.0, 28.0, 85.0, 16.0, 11.0, 30.0)  # median, by category
PRODUCTS_PER_CATEGORY = 60
PAYMENT_METHODS = ("credit_card", "debit_card", "digital_wallet", "bank_transfer", "gift_card")
MEMBERSHIP_LEVELS = ("Basic", "Silver", "Gold", "Platinum")
GENDERS = ("female", "male", "nonbinary")
REGIONS = ("North", "South", "East", "West", "Central")

NEVER_BUYS_SHARE = 0.03
GUEST_ORDERS_PER_CUSTOMER = 0.14
FREE_ITEM_SHARE = 0.003
MAX_LINES = 6  # in an order
MAX_DAYS_TO_RETURN = 30
UNKNOWN_SHARE = 0.03  # of ages, genders, regions and membership levels, each on its own
