-- The operator's hand: what became of dead letters, what people had done about them and why, and jobs that go through many of them.

-- How often the record of a dead letter was given back to its consumer before it died this time.
alter table saga_tracker.letter add column loops integer not null default 0;

-- What became of a dead letter, as its consumer says (DeadLetterResolved); it may be heard before the dead letter itself. The latest stays.
create table saga_tracker.resolution (
    letter_id  uuid        primary key,
    resolution text        not null, -- recovered, skipped, died_again
    consumer   text        not null,
    said_by    text        not null, -- the person behind it; empty: nobody
    at         timestamptz not null
);

-- The audit record: who had what done, why, and what came of it. Written in the transaction of what was done where that is in this database;
-- else before ('begun') and after. Nothing is ever taken out.
create table saga_tracker.action (
    action_id    uuid        primary key, -- a UUIDv7: newest last
    at           timestamptz not null,
    who          text        not null,
    why          text        not null,
    what         text        not null check (what in ('retry', 'edit', 'skip', 'compensate', 'start_job', 'stop_job')),
    letter_id    uuid,                    -- null: it was about a job
    order_id     uuid,                    -- null: of no order that is known
    job_id       uuid,                    -- the job it was done by, or about; null: it was asked for by itself
    outcome      text        not null check (outcome in ('begun', 'done', 'failed')),
    detail       text        not null,    -- what was done, or why it failed
    concluded_at timestamptz
);

create index action_letter on saga_tracker.action (letter_id, at) where letter_id is not null;
create index action_order on saga_tracker.action (order_id, at) where order_id is not null;
create index action_job on saga_tracker.action (job_id, at) where job_id is not null;

-- One thing done with all dead letters of a filter that had died when it began, the oldest first.
create table saga_tracker.job (
    job_id     uuid        primary key, -- a UUIDv7: newest last
    begun_at   timestamptz not null,
    who        text        not null,
    why        text        not null,
    what       text        not null check (what in ('retry', 'skip', 'compensate')),
    filter     text        not null, -- JSON
    rate       double precision,     -- dead letters a second at most; null: as fast as it goes
    max_loops  integer     not null,
    state      text        not null check (state in ('running', 'stopped', 'done')),
    total      bigint      not null, -- dead letters of the filter when it began
    done       bigint      not null default 0,
    refused    bigint      not null default 0,
    behind_at  timestamptz,          -- the last dead letter that it came to; null: none yet
    behind_id  uuid,
    refusal    text,                 -- why the last one was refused that was
    waits_for  text,                 -- what went wrong, if it waits to try again
    changed_at timestamptz not null,
    held_by    uuid,                 -- the instance of the tracker that works on it, until then
    held_until timestamptz
);

create index job_running on saga_tracker.job (begun_at) where state = 'running';
