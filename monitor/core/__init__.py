"""The pure core: values, the state and how events change it. No asyncio, no I/O, no clock, no chance."""
