"""Files of other tools and of FireAct's release, read and written."""
