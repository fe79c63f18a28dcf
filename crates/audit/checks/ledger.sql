-- Level by level: on hand = received ± counted − shipped, as the ledger of movements has them; reserved and missing likewise.
select count(*),
       format('%s levels, %s movements, %s levels unexplained',
              (select count(*) from inventory.stock_level), (select count(*) from inventory.movement), count(*)),
       to_jsonb((array_agg(jsonb_build_object('subject', sku || '/' || warehouse, 'detail',
           format('more than its movements explain: on hand %s, reserved %s, missing %s', on_hand, reserved, missing))))[1:200])
  from inventory.unexplained
