-- At which position a request through a door was answered (crates/runtime/src/answers.rs): the same request gets the same answer when it comes again.
create function runtime.add_answers(consumer text) returns void language plpgsql as $$
begin
    execute format($ddl$
        create table %I.answer (
            cause_id    uuid        primary key, -- derived from what makes it the same request
            position    bigint      not null,    -- of the last event that it said
            answered_at timestamptz not null
        )$ddl$, consumer);
    -- Rows come in the order of their times, and go in it.
    execute format('create index answer_at on %I.answer using brin (answered_at)', consumer);
end $$;
