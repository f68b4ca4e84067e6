"""What tariff lists say beside each other: changes, comparisons, lists at instants. Pure."""
