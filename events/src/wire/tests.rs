mod golden;
mod samples;
mod sealing;
