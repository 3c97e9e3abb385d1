-- promise: 4. What must never happen the database refuses by itself: the keys and CHECKs that the promises rest on
--   are there, say what they should, and hold for every row.
-- row: A constraint or unique index that is missing, not valid (its definition says so), or says something else.
-- scope: books

select count(*) from pg_constraint where connamespace = 'creditd'::regnamespace and contype in ('c', 'p', 'u');

with standing as (
  select k.conname as name, pg_get_constraintdef(k.oid) as definition, k.conindid as index_id
  from pg_constraint k where k.connamespace = 'creditd'::regnamespace and k.contype in ('c', 'p', 'u')
  union all
  select c.relname, pg_get_indexdef(i.indexrelid), i.indexrelid
  from pg_index i join pg_class c on c.oid = i.indexrelid
  where c.relnamespace = 'creditd'::regnamespace
    and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
)
select x.name as constraint_name, s.definition, x.definition as should_say
from (values
  ('account_pkey', 'PRIMARY KEY (root_id, account_id)'),
  ('balance_is_never_negative', 'CHECK (((available >= 0) AND (held >= 0) AND (debt >= 0)))'),
  ('what_came_in_went_out_or_is_here',
    'CHECK (((((((granted + refunded) - spent) - expired) - reversed) - repaid) = (available + held)))'),
  ('debt_is_owed_and_not_yet_repaid', 'CHECK (((owed - repaid) = debt))'),
  ('lot_pkey', 'PRIMARY KEY (root_id, account_id, lot_no)'),
  ('lot_state_is_known', 'CHECK ((state = ANY (ARRAY[''live''::text, ''reversed''::text])))'),
  ('lot_amount_is_positive', 'CHECK ((amount > 0))'),
  ('lot_is_never_overdrawn', 'CHECK (((remaining >= 0) AND (expired >= 0) AND (reversed >= 0)'
    ' AND (((remaining + expired) + reversed) <= amount)))'),
  ('reversed_lot_has_nothing_left', 'CHECK (((state = ''live''::text) OR (remaining = 0)))'),
  ('one_cause_one_lot', 'CREATE UNIQUE INDEX one_cause_one_lot ON creditd.lot USING btree'
    ' (root_id, account_id, rule_id, cause, incarnation)'),
  ('entry_kind_pkey', 'PRIMARY KEY (kind)'),
  ('entry_pkey', 'PRIMARY KEY (root_id, account_id, seq)'),
  ('entry_amount_is_positive', 'CHECK (((amount > 0) OR ((amount = 0) AND (kind = 2))))'),
  ('entry_names_its_lot', 'CHECK (((lot_no IS NOT NULL) OR (amount = 0)))'),
  ('charge_and_refund_have_their_key', 'CHECK (((total IS NULL) OR ((app_id IS NOT NULL) AND (key_hash IS NOT NULL) AND (request_hash IS NOT NULL))))'),
  ('entry_leaves_no_negative_balance', 'CHECK (((available_after >= 0) AND (debt_after >= 0)))'),
  ('one_key_one_movement', 'CREATE UNIQUE INDEX one_key_one_movement ON creditd.entry USING btree'
    ' (root_id, account_id, app_id, key_hash) WHERE (key_hash IS NOT NULL)'),
  ('cap_use_pkey', 'PRIMARY KEY (root_id, account_id, rule_id, day)'),
  ('cap_use_is_never_negative', 'CHECK ((granted >= 0))'),
  ('price_pkey', 'PRIMARY KEY (operation_id, version)'),
  ('price_is_never_negative', 'CHECK (((base >= 0) AND (per_unit >= 0)))'),
  ('wallet_pkey', 'PRIMARY KEY (chain_id, address)'),
  ('account_name_pkey', 'PRIMARY KEY (app_id, name)'),
  ('chain_pkey', 'PRIMARY KEY (chain_id)'),
  ('confirmed_is_indexed', 'CHECK ((confirmed_number <= indexed_number))'),
  ('one_block_per_height', 'PRIMARY KEY (chain_id, number)'),
  ('event_is_seen_once', 'UNIQUE (chain_id, tx_hash, ordinal, role)'),
  ('event_state_is_known',
    'CHECK ((state = ANY (ARRAY[''pending''::text, ''confirmed''::text, ''reversed''::text])))')
) x (name, definition)
  left join standing s on s.name = x.name
  left join pg_index i on i.indexrelid = s.index_id
where s.definition is distinct from x.definition
  or not coalesce(i.indisvalid and i.indisready and i.indisunique, true)
