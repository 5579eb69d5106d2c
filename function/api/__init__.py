"""The language of the product: what a claim, the site's settings and a claim's status may say."""
