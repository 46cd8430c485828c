-- What is reserved of limits per day: by all processes together, in the day `day` of the limit's own zone. `granted` is
-- what the last one was given; what a process that died had left of it is lost for that day.
create table limit_day (
    name text primary key,
    day date not null,
    reserved bigint not null,
    granted bigint not null
);
