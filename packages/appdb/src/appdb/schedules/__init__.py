"""Parts of ScheduleRepository: cron lines and ticks."""
