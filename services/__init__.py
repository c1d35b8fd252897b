"""Four strangers, one database each, that know of each other only through topics."""
