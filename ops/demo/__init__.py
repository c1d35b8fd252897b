"""`adieu demo`: the story of a person who leaves, played on the real system through its public doors."""
