-- The indexes of the leaderboard's words, in a file of its own: building them takes seconds a million rows, and readers
-- would wait for those behind any other change of the table.

create index leaderboard_category on leaderboard (platform, month, lower(category));
create index leaderboard_language on leaderboard (platform, month, lower(language));
create index leaderboard_country on leaderboard (platform, month, lower(country));
