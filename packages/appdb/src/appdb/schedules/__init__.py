"""Parts of ScheduleRepository: cron expressions and ticks."""
