"""The store that the processes of one machine share: a SQLite file."""
