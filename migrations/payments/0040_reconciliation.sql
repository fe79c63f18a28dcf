-- What came of the last comparison with each provider's own books (ADR 31); asked by the audit as the invariant `provider`.
create table payments.reconciliation (
    gateway          text        primary key,
    asked_at         timestamptz not null,               -- when the last one began
    unanswered_since timestamptz,                        -- since when none succeeded; null: the last one did
    differing        bigint      not null default 0,     -- orders that differ
    figures          text        not null default 'not compared yet',
    lines            text        not null default '[]'   -- the first 200 of them, as the audit names breaches
);
