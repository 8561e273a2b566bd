//! Questions that a model asks the user, and what the user types to answer them. Pure.

use serde_json::Value;

/// The tool that asks.
pub(super) const TOOL: &str = "ask_user_question";

/// A question with the answers to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub text: String,
    pub options: Vec<Choice>,
    /// More than one may be chosen.
    pub many: bool,
}

/// An answer to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub label: String,
    pub description: Option<String>,
}

/// Questions and the answers so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    questions: Vec<Question>,
    answers: Vec<String>,
}

impl Asking {
    /// The questions of a call; nothing if it asks none.
    pub(super) fn of(args: &Value) -> Option<Asking> {
        let questions: Vec<Question> = match args["questions"].as_array() {
            Some(questions) => questions.iter().filter_map(question).collect(),
            None => question(args).into_iter().collect(),
        };
        (!questions.is_empty()).then_some(Asking { questions, answers: Vec::new() })
    }

    /// The question that is open, and its number among all.
    pub(super) fn open(&self) -> (&Question, usize, usize) {
        let index = self.answers.len().min(self.questions.len() - 1);
        (&self.questions[index], index + 1, self.questions.len())
    }

    /// Takes what was typed: a number of the list, several of them, or own words. Gives the message that answers all
    /// questions when the last one was answered, and what is wrong if it is no answer.
    pub(super) fn answer(&mut self, typed: &str) -> Result<Option<String>, String> {
        let (question, ..) = self.open();
        self.answers.push(chosen(question, typed.trim())?);
        if self.answers.len() < self.questions.len() {
            return Ok(None);
        }
        if let [answer] = self.answers.as_slice() {
            return Ok(Some(answer.clone()));
        }
        let lines = self.questions.iter().zip(&self.answers);
        let lines = lines.map(|(question, answer)| format!("{}\n{answer}", question.text));
        Ok(Some(lines.collect::<Vec<_>>().join("\n\n")))
    }
}

fn chosen(question: &Question, typed: &str) -> Result<String, String> {
    let words: Vec<&str> = typed.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    let are_numbers = !words.is_empty() && words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    if !are_numbers || question.options.is_empty() {
        return if typed.is_empty() { Err("an answer is needed".to_owned()) } else { Ok(typed.to_owned()) };
    }
    if words.len() > 1 && !question.many {
        return Err("choose one".to_owned());
    }
    let label = |word: &&str| {
        let number: usize = word.parse().unwrap_or(usize::MAX);
        let choice = number.checked_sub(1).and_then(|index| question.options.get(index));
        choice.map(|choice| choice.label.clone())
    };
    let labels: Option<Vec<String>> = words.iter().map(label).collect();
    labels.map(|labels| labels.join(", ")).ok_or_else(|| format!("choose from 1 to {}", question.options.len()))
}

fn question(value: &Value) -> Option<Question> {
    let text = value["question"].as_str()?.to_owned();
    let options =
        value["options"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(choice).collect();
    let many = ["multi_select", "multiple", "allow_multiple"].into_iter().any(|name| value[name] == true);
    Some(Question { text, options, many })
}

fn choice(value: &Value) -> Option<Choice> {
    let label = value.as_str().or_else(|| value["label"].as_str())?.to_owned();
    Some(Choice { label, description: value["description"].as_str().map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_chooses_and_words_are_words() {
        let args =
            json!({ "questions": [{ "question": "Tea?", "options": [{ "label": "Green" }, { "label": "Black" }] }] });
        let asking = Asking::of(&args).unwrap();
        let answer = |typed: &str| asking.clone().answer(typed);
        assert_eq!(answer("2"), Ok(Some("Black".to_owned())));
        assert_eq!(answer("neither, thanks"), Ok(Some("neither, thanks".to_owned())));
        assert_eq!(answer("3"), Err("choose from 1 to 2".to_owned()));
        assert_eq!(answer("0"), Err("choose from 1 to 2".to_owned()));
        assert_eq!(answer("1 2"), Err("choose one".to_owned()));
        assert_eq!(answer(" "), Err("an answer is needed".to_owned()));
    }

    #[test]
    fn all_answers_are_one_message() {
        let args = json!({ "questions": [
            { "question": "Which?", "options": ["a", "b", "c"], "multi_select": true },
            { "question": "When?", "options": [] },
        ] });
        let mut asking = Asking::of(&args).unwrap();
        assert_eq!(asking.answer("1, 3"), Ok(None));
        let (question, number, of) = asking.open();
        assert_eq!((question.text.as_str(), number, of), ("When?", 2, 2));
        assert_eq!(asking.answer("7"), Ok(Some("Which?\na, c\n\nWhen?\n7".to_owned())));
    }

    #[test]
    fn what_asks_nothing_is_no_question() {
        assert_eq!(Asking::of(&json!({ "questions": [] })), None);
        assert_eq!(Asking::of(&json!({ "questions": [{ "options": ["a"] }] })), None);
    }
}
