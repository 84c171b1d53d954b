"""Bahroun, Sridharan, Acharya, Chklovskii, Sengupta 2023: similarity matching of several inputs, and of labels."""
