select count(*) filter (where o.state is distinct from t.outcome), format('%s orders followed, %s told otherwise', count(*), count(*) filter (where o.state is distinct from t.outcome))
  from orders."order" o join saga_tracker."order" t using (order_id)
 where o.ended_at is not null
