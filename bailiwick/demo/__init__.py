"""The made-up support desk of `bailiwick demo`: its data, its policy and its scripted agent."""
