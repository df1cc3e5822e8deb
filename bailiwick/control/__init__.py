"""The API of the gateway: tokens by the standards, decisions for others, administration."""
