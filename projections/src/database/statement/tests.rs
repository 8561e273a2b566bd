use super::*;

fn rows(count: i64) -> Vec<Vec<Value>> {
    (0..count).map(|number| vec![Value::Integer(Some(number)), Value::Boolean(true)]).collect()
}

#[test]
fn rows_are_split_into_few_sizes_and_keep_their_order() {
    let statements = multi_row("INSERT INTO t VALUES ", "(?, ?)", "", rows(75));
    let sizes: Vec<usize> = statements.iter().map(|statement| statement.values.len() / 2).collect();
    assert_eq!(sizes, [64, 8, 1, 1, 1]);
    let values: Vec<Value> = statements.into_iter().flat_map(|statement| statement.values).collect();
    assert_eq!(values, rows(75).concat());
}

#[test]
fn no_rows_make_no_statement() {
    assert_eq!(multi_row("INSERT INTO t VALUES ", "(?)", "", Vec::new()), []);
    assert_eq!(in_list("SELECT 1 WHERE a IN ", "", &[]), []);
}

#[test]
fn postgres_numbers_its_placeholders() {
    let (sql, values, _) = multi_row("I ", "(?, ?)", " T", rows(1)).remove(0).sql_for(Dialect::Postgres);
    assert_eq!(sql, "I ($1, $2) T");
    assert_eq!(values.len(), 2);
}

#[test]
fn an_in_list_repeats_the_last_id_until_it_is_full() {
    let ids: Vec<Uuid> = (1..=66u128).map(Uuid::from_u128).collect();
    let statements = in_list("SELECT 1 WHERE a IN ", "", &ids);
    assert_eq!(statements.len(), 2);
    assert_eq!(statements[0].values.len(), 64);
    assert_eq!(statements[1].values.len(), 64);
    assert_eq!(statements[1].values[0], Value::Id(Some(Uuid::from_u128(65))));
    assert_eq!(statements[1].values[63], Value::Id(Some(Uuid::from_u128(66))));
    assert_eq!(in_list("", "", &ids[..1])[0].values.len(), 1);
}

#[test]
fn nul_is_replaced() {
    assert_eq!(Value::text("a\0b"), Value::Text(Some("a\u{fffd}b".to_owned())));
}
