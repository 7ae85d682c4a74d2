-- The table of synod-oracle-postgres: a row is a piece of work that one program at a time has.
--
--     psql -f lease.sql "dbname=..."
--
-- Whoever runs the program needs SELECT, INSERT and UPDATE on it. Rows are made by the program.
CREATE TABLE IF NOT EXISTS synod_lease (
    work_id         text        PRIMARY KEY,
    work_status     text        NOT NULL,  -- who has it, for people to read
    lease           bigint      NOT NULL,  -- how often it was taken over: the holder knows its own number
    expiration_time timestamptz NOT NULL   -- by this database's clock, and no other
);
