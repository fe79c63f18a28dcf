-- Ended order by ended order: the tracker tells of the same end. While events are on their way ($4 is false) it may not have heard of it, unless it
-- has read every partition well beyond that moment (batches that are decided side by side may commit in the other order).
with judged as (
    select o.order_id, o.state, t.outcome,
           t.outcome <> o.state
           or t.outcome is null and ($4 or o.ended_at < (select min(at) - interval '1 minute' from saga_tracker.position where topic = 'orders')) as breach
      from orders."order" o join saga_tracker."order" t using (order_id)
     where o.ended_at is not null and (o.order_id >= $1 and o.order_id < $2 or o.order_id = any($3))
)
select count(*) filter (where breach), format('%s orders followed, %s told otherwise', count(*), count(*) filter (where breach)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('orders says %s, the tracker %s', state, coalesce(outcome, 'that it is open')))) filter (where breach))[1:200])
  from judged
