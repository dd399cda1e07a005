"""The wire: jobs as producers send them, results and dead letters as they are published."""
