"""The one place that draws: numbers, scales, charts, planes, sample grids."""
