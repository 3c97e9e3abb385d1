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
  ('accepted_reorg_has_a_reason', 'CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))'),
  ('accepted_reorg_is_another_block', 'CHECK ((left_hash <> new_hash))'),
  ('accepted_reorg_is_signed', 'CHECK (((length(accepted_by) >= 1) AND (length(accepted_by) <= 100)))'),
  ('accepted_reorg_pkey', 'PRIMARY KEY (chain_id, number, left_hash, new_hash, reorgs)'),
  ('account_kind_is_known',
    'CHECK ((kind = ANY (ARRAY[''user''::text, ''wallet''::text, ''organisation''::text, ''member''::text])))'),
  ('account_pkey', 'PRIMARY KEY (root_id, account_id)'),
  ('account_status_is_known',
    'CHECK ((status = ANY (ARRAY[''open''::text, ''frozen''::text, ''indebted''::text, ''closed''::text])))'),
  ('balance_is_never_negative', 'CHECK (((available >= 0) AND (held >= 0) AND (debt >= 0)))'),
  ('debt_is_owed_and_not_yet_repaid', 'CHECK ((((owed + debt_moved) - repaid) = debt))'),
  ('head_is_within_what_is_available', 'CHECK (((head_left >= 0) AND (head_left <= available)))'),
  ('what_came_in_went_out_or_is_here',
    'CHECK ((((((((((granted + refunded) + moved) + line) - spent) - expired) - reversed) - repaid) -'
    ' recovered) = (available + held)))'),
  ('account_access_pkey', 'PRIMARY KEY (root_id, account_id, app_id)'),
  ('account_name_is_short', 'CHECK (((length(name) >= 1) AND (length(name) <= 200)))'),
  ('account_name_pkey', 'PRIMARY KEY (app_id, name)'),
  ('alarm_pkey', 'PRIMARY KEY (chain_id, kind)'),
  ('api_key_digest_is_one_key', 'UNIQUE (digest)'),
  ('api_key_digest_is_sha256', 'CHECK ((octet_length(digest) = 32))'),
  ('api_key_pkey', 'PRIMARY KEY (key_id)'),
  ('app_name_is_free', 'UNIQUE (name)'),
  ('app_name_is_short', 'CHECK (((length(name) >= 1) AND (length(name) <= 100)))'),
  ('app_pkey', 'PRIMARY KEY (app_id)'),
  ('audited_is_one_row', 'CHECK (one_row)'),
  ('audited_pkey', 'PRIMARY KEY (one_row)'),
  ('block_hash_is_32_bytes', 'CHECK ((octet_length(hash) = 32))'),
  ('one_block_per_height', 'PRIMARY KEY (chain_id, number)'),
  ('budget_amount_is_in_range', 'CHECK (((amount >= 0) AND (amount <= ''4000000000000000000''::bigint)))'),
  ('budget_levels_are_percents',
    'CHECK (((cardinality(levels) <= 10) AND (1 <= ALL (levels)) AND (100 >= ALL (levels))))'),
  ('budget_period_is_known',
    'CHECK ((period = ANY (ARRAY[''day''::text, ''week''::text, ''month''::text, ''ever''::text])))'),
  ('budget_pkey', 'PRIMARY KEY (root_id, account_id, period)'),
  ('budget_use_is_never_negative', 'CHECK ((used >= 0))'),
  ('budget_use_pkey', 'PRIMARY KEY (root_id, account_id, day)'),
  ('cap_use_is_never_negative', 'CHECK ((granted >= 0))'),
  ('cap_use_pkey', 'PRIMARY KEY (root_id, account_id, rule_id, day)'),
  ('chain_name_is_one', 'UNIQUE (name)'),
  ('chain_pkey', 'PRIMARY KEY (chain_id)'),
  ('chain_state_is_known',
    'CHECK ((state = ANY (ARRAY[''syncing''::text, ''following''::text, ''halted''::text])))'),
  ('confirmed_is_indexed', 'CHECK ((confirmed_number <= indexed_number))'),
  ('halted_chain_says_why', 'CHECK (((state <> ''halted''::text) OR (reason IS NOT NULL)))'),
  ('charge_cause_is_never_negative', 'CHECK ((granted >= 0))'),
  ('charge_cause_pkey', 'PRIMARY KEY (root_id, account_id, seq)'),
  ('charge_cause_unbacked_is_never_negative', 'CHECK ((unbacked >= 0))'),
  ('entry_amount_is_positive', 'CHECK (((amount > 0) OR ((amount = 0) AND (kind = ANY (ARRAY[2, 8, 9])))))'),
  ('entry_leaves_no_negative_balance', 'CHECK ((LEAST(available_after, held_after, debt_after) >= 0))'),
  ('entry_names_its_lot', 'CHECK (((lot_no IS NOT NULL) OR (amount = 0) OR (kind = ANY (ARRAY[15, 16]))))'),
  ('entry_pkey', 'PRIMARY KEY (root_id, account_id, seq)'),
  ('key_says_what_it_asked', 'CHECK (((key_hash IS NULL) = (request_hash IS NULL)))'),
  ('one_key_one_movement',
    'CREATE UNIQUE INDEX one_key_one_movement ON creditd.entry USING btree (root_id, key_hash) WHERE (key_hash'
    ' IS NOT NULL)'),
  ('entry_kind_name_is_one', 'UNIQUE (name)'),
  ('entry_kind_pkey', 'PRIMARY KEY (kind)'),
  ('entry_kind_sides_differ', 'CHECK ((from_side <> to_side))'),
  ('event_amount_is_uint256', 'CHECK ((amount >= (0)::numeric))'),
  ('event_credits_are_not_negative', 'CHECK ((credits >= 0))'),
  ('event_is_seen_once', 'UNIQUE (chain_id, tx_hash, ordinal, role)'),
  ('event_pkey', 'PRIMARY KEY (event_no)'),
  ('event_state_is_known',
    'CHECK ((state = ANY (ARRAY[''pending''::text, ''confirmed''::text, ''reversed''::text])))'),
  ('linked_wallet_pkey', 'PRIMARY KEY (root_id, account_id, chain_id, address)'),
  ('lot_amount_is_positive', 'CHECK (((amount > 0) OR ((amount = 0) AND (source = ''overdraft''::text))))'),
  ('lot_is_never_overdrawn',
    'CHECK (((LEAST(remaining, held, expired, reversed, moved, absorbed) >= 0) AND (((((remaining + held) +'
    ' expired) + reversed) + moved) <= amount)))'),
  ('lot_lives_before_it_ends', 'CHECK ((effective_at < expires_at))'),
  ('lot_pkey', 'PRIMARY KEY (root_id, account_id, lot_no)'),
  ('lot_source_is_known',
    'CHECK ((source = ANY (ARRAY[''mining''::text, ''staking''::text, ''purchased''::text,'
    ' ''promotional''::text, ''refund''::text, ''plan''::text, ''adjustment''::text, ''overdraft''::text])))'),
  ('lot_state_is_known', 'CHECK ((state = ANY (ARRAY[''live''::text, ''reversed''::text])))'),
  ('moved_lot_has_its_origin', 'CHECK ((num_nulls(origin_root, origin_account, origin_lot) = ANY (ARRAY[0, 3])))'),
  ('reversed_lot_has_nothing_left', 'CHECK (((state = ''live''::text) OR (remaining = 0)))'),
  ('member_is_not_the_pool', 'CHECK ((root_id <> account_id))'),
  ('member_moves_whole',
    'CHECK (((num_nulls(moved_root, moved_account) = ANY (ARRAY[0, 2])) AND ((moved_root IS NULL) OR (left_at'
    ' IS NOT NULL))))'),
  ('member_name_is_one',
    'CREATE UNIQUE INDEX member_name_is_one ON creditd.member USING btree (root_id, name) WHERE (left_at IS'
    ' NULL)'),
  ('member_name_is_short', 'CHECK (((length(name) >= 1) AND (length(name) <= 200)))'),
  ('member_pkey', 'PRIMARY KEY (root_id, account_id)'),
  ('message_body_is_an_object', 'CHECK ((jsonb_typeof(body) = ''object''::text))'),
  ('message_ends_once', 'CHECK (((state = ''waiting''::text) = (ended_at IS NULL)))'),
  ('message_pkey', 'PRIMARY KEY (root_id, account_id, seq, place, receiver_id)'),
  ('message_state_is_known',
    'CHECK ((state = ANY (ARRAY[''waiting''::text, ''delivered''::text, ''dead''::text])))'),
  ('operation_name_is_one', 'UNIQUE (name)'),
  ('operation_name_is_short', 'CHECK (((length(name) >= 1) AND (length(name) <= 100)))'),
  ('operation_pkey', 'PRIMARY KEY (operation_id)'),
  ('overdraft_amount_is_in_range', 'CHECK (((amount >= 0) AND (amount <= ''1000000000000000000''::bigint)))'),
  ('overdraft_pkey', 'PRIMARY KEY (root_id, account_id)'),
  ('price_is_never_negative', 'CHECK (((base >= 0) AND (per_unit >= 0)))'),
  ('price_pkey', 'PRIMARY KEY (operation_id, version)'),
  ('receiver_name_is_one', 'UNIQUE (name)'),
  ('receiver_name_is_short', 'CHECK (((length(name) >= 1) AND (length(name) <= 64)))'),
  ('receiver_pkey', 'PRIMARY KEY (receiver_id)'),
  ('release_is_one_row', 'CHECK (one_row)'),
  ('release_pkey', 'PRIMARY KEY (one_row)'),
  ('rereading_pkey', 'PRIMARY KEY (chain_id)'),
  ('ended_reservation_says_how', 'CHECK (((state = ''open''::text) OR (settled IS NOT NULL)))'),
  ('reservation_pkey', 'PRIMARY KEY (root_id, account_id, reservation_no)'),
  ('reservation_state_is_known',
    'CHECK ((state = ANY (ARRAY[''open''::text, ''settled''::text, ''released''::text, ''expired''::text])))'),
  ('reservation_takes_within_its_bounds',
    'CHECK (((amount >= 0) AND (over_max >= 0) AND ((minimum >= 0) AND (minimum <= amount)) AND ((settled >='
    ' 0) AND (settled <= (amount + over_max)))))'),
  ('rule_name_is_one', 'UNIQUE (name)'),
  ('rule_pkey', 'PRIMARY KEY (rule_id)'),
  ('rule_reversal_is_known',
    'CHECK ((on_reversal = ANY (ARRAY[''debt''::text, ''absorb''::text, ''freeze''::text])))'),
  ('rule_source_is_known', 'CHECK ((source = ANY (ARRAY[''mining''::text, ''staking''::text])))'),
  ('rule_use_is_never_negative', 'CHECK ((granted >= 0))'),
  ('rule_use_pkey', 'PRIMARY KEY (rule_id, day)'),
  ('set_aside_pkey', 'PRIMARY KEY (chain_id, tx_hash, ordinal, rule_id)'),
  ('status_change_has_a_reason', 'CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))'),
  ('status_change_is_known', 'CHECK ((status = ANY (ARRAY[''open''::text, ''frozen''::text])))'),
  ('status_change_is_signed', 'CHECK (((length(changed_by) >= 1) AND (length(changed_by) <= 100)))'),
  ('status_change_pkey', 'PRIMARY KEY (root_id, account_id, change_no)'),
  ('upstream_status_pkey', 'PRIMARY KEY (chain_id, node)'),
  ('wallet_address_is_20_bytes', 'CHECK ((octet_length(address) = 20))'),
  ('wallet_by_account', 'CREATE UNIQUE INDEX wallet_by_account ON creditd.wallet USING btree (root_id, account_id)'),
  ('wallet_is_linked_whole', 'CHECK ((num_nulls(linked_root, linked_account, linked_at) = ANY (ARRAY[0, 3])))'),
  ('wallet_pkey', 'PRIMARY KEY (chain_id, address)'),
  ('wallet_link_address_is_20_bytes', 'CHECK ((octet_length(address) = 20))'),
  ('wallet_link_pkey', 'PRIMARY KEY (address)')
) x (name, definition)
  left join standing s on s.name = x.name
  left join pg_index i on i.indexrelid = s.index_id
where s.definition is distinct from x.definition
  or not coalesce(i.indisvalid and i.indisready and i.indisunique, true)
