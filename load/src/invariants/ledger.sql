select (select count(*) from inventory.unexplained),
       format('%s levels, %s movements, %s levels unexplained',
              (select count(*) from inventory.stock_level), (select count(*) from inventory.movement), (select count(*) from inventory.unexplained))
