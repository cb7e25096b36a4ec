"""The personas that customers are drawn from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Persona:
    """A kind of customer. Mixes are shares that add up to 1, in the order of names in `shop`."""

    name: str
    share: float
    # Purchases
    orders_per_week: float  # mean over the persona's customers
    rate_shape: int  # of the gamma distribution of rates: they differ most with 1, least with 3
    weeks_active: float  # mean time until a customer leaves for good
    holiday_share: float  # part of the purchases that are for the holiday season
    weekend_share: float  # part of the purchases on Saturday and Sunday
    hour: float  # favorite hour of the day
    hour_spread: float  # purchases are at most this many hours from it
    # Baskets
    price_level: float  # factor on the median price of a category
    another_line: float  # probability that an order has one more line
    another_unit: float  # probability that a line has one more unit
    return_share: float  # part of the lines that come back
    categories: tuple[float, ...]
    payment_methods: tuple[float, ...]
    # Who they are
    age: float
    age_spread: float  # standard deviation
    genders: tuple[float, ...]
    membership_levels: tuple[float, ...]


PERSONAS = (
    Persona(
        "Weekend family", 0.18,
        orders_per_week=0.055, rate_shape=2, weeks_active=60.0, holiday_share=0.05,
        weekend_share=0.88, hour=11.0, hour_spread=4.0,
        price_level=0.9, another_line=0.55, another_unit=0.60, return_share=0.04,
        categories=(0.62, 0.08, 0.06, 0.06, 0.01, 0.12, 0.02, 0.03),
        payment_methods=(0.15, 0.70, 0.10, 0.02, 0.03),
        age=38.0, age_spread=4.0, genders=(0.60, 0.39, 0.01),
        membership_levels=(0.12, 0.76, 0.11, 0.01),
    ),
    Persona(
        "Student bargain hunter", 0.18,
        orders_per_week=0.05, rate_shape=2, weeks_active=45.0, holiday_share=0.05,
        weekend_share=0.30, hour=21.0, hour_spread=4.0,
        price_level=0.45, another_line=0.12, another_unit=0.05, return_share=0.10,
        categories=(0.04, 0.03, 0.05, 0.66, 0.03, 0.01, 0.14, 0.04),
        payment_methods=(0.05, 0.15, 0.75, 0.02, 0.03),
        age=21.0, age_spread=2.0, genders=(0.52, 0.45, 0.03),
        membership_levels=(0.88, 0.10, 0.01, 0.01),
    ),
    Persona(
        "Loyal professional", 0.12,
        orders_per_week=0.09, rate_shape=3, weeks_active=130.0, holiday_share=0.05,
        weekend_share=0.10, hour=13.0, hour_spread=3.0,
        price_level=1.9, another_line=0.40, another_unit=0.15, return_share=0.06,
        categories=(0.04, 0.08, 0.14, 0.14, 0.04, 0.02, 0.46, 0.08),
        payment_methods=(0.80, 0.06, 0.10, 0.02, 0.02),
        age=46.0, age_spread=5.0, genders=(0.50, 0.49, 0.01),
        membership_levels=(0.01, 0.04, 0.35, 0.60),
    ),
    Persona(
        "Holiday gift giver", 0.14,
        orders_per_week=0.025, rate_shape=3, weeks_active=130.0, holiday_share=0.92,
        weekend_share=0.45, hour=19.0, hour_spread=4.0,
        price_level=1.2, another_line=0.50, another_unit=0.15, return_share=0.08,
        categories=(0.02, 0.08, 0.14, 0.04, 0.04, 0.58, 0.08, 0.02),
        payment_methods=(0.30, 0.10, 0.10, 0.02, 0.48),
        age=52.0, age_spread=6.0, genders=(0.58, 0.41, 0.01),
        membership_levels=(0.55, 0.40, 0.04, 0.01),
    ),
    Persona(
        "Senior home regular", 0.14,
        orders_per_week=0.05, rate_shape=3, weeks_active=90.0, holiday_share=0.02,
        weekend_share=0.07, hour=10.0, hour_spread=2.5,
        price_level=1.0, another_line=0.25, another_unit=0.30, return_share=0.03,
        categories=(0.12, 0.62, 0.18, 0.02, 0.01, 0.01, 0.03, 0.01),
        payment_methods=(0.12, 0.13, 0.02, 0.72, 0.01),
        age=71.0, age_spread=5.0, genders=(0.56, 0.44, 0.00),
        membership_levels=(0.06, 0.20, 0.70, 0.04),
    ),
    Persona(
        "Electronics enthusiast", 0.12,
        orders_per_week=0.04, rate_shape=2, weeks_active=70.0, holiday_share=0.08,
        weekend_share=0.40, hour=22.0, hour_spread=3.0,
        price_level=1.8, another_line=0.15, another_unit=0.04, return_share=0.12,
        categories=(0.01, 0.03, 0.01, 0.02, 0.82, 0.02, 0.03, 0.06),
        payment_methods=(0.40, 0.05, 0.50, 0.04, 0.01),
        age=30.0, age_spread=4.0, genders=(0.22, 0.76, 0.02),
        membership_levels=(0.10, 0.60, 0.25, 0.05),
    ),
    Persona(
        "One-time visitor", 0.12,
        orders_per_week=0.005, rate_shape=1, weeks_active=4.0, holiday_share=0.10,
        weekend_share=0.30, hour=15.0, hour_spread=8.0,
        price_level=0.8, another_line=0.05, another_unit=0.05, return_share=0.05,
        categories=(0.02, 0.10, 0.04, 0.06, 0.04, 0.03, 0.03, 0.68),
        payment_methods=(0.45, 0.15, 0.30, 0.05, 0.05),
        age=36.0, age_spread=9.0, genders=(0.48, 0.50, 0.02),
        membership_levels=(0.97, 0.01, 0.01, 0.01),
    ),
)  # fmt: skip
