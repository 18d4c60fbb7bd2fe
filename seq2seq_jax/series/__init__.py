"""Series of numbers: tables, windows, scales, forecasts."""
