mod golden;
mod samples;
mod sealing;
mod vault;
