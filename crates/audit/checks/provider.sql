-- payments compares its books with each provider's own once a day (ADR 31); this is what it found. None for two days is a breach too.
with asked as (
    select *, coalesce(asked_at - unanswered_since > interval '2 days', false) as is_silent from payments.reconciliation
     where asked_at > now() - interval '30 days' -- a gateway that is not configured any more
), line as (
    select line ->> 'subject' as subject, line ->> 'detail' as detail, gateway from asked, jsonb_array_elements(lines::jsonb) as line
     union all
    select gateway, format('not compared since %s: see the log of payments', unanswered_since), gateway from asked where is_silent
)
select (select coalesce(sum(differing + is_silent::int), 0)::bigint from asked),
       (select coalesce(string_agg(format('%s: %s', gateway, figures), '; ' order by gateway), 'no provider is compared') from asked),
       (select to_jsonb((array_agg(jsonb_build_object('subject', subject, 'detail', format('%s: %s', gateway, detail)) order by gateway, subject))[1:200]) from line)
