"""Mirror snapshots on time: schedules, when they are due, and who makes them."""
