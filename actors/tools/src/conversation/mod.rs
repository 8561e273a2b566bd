//! Tools that speak of the conversation itself: questions, plans, skills, other chats, advice.
