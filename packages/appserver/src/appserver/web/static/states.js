// The states in which a task ends; an event of the same name ends its log.
export const FINAL = new Set(["completed", "failed", "cancelled"]);
