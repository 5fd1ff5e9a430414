# For the shell someone opens in a running container to look around: files it makes are nobody else's to read, and it
# keeps no history, which would fail on a read-only root and might hold a secret that was typed.
umask 027
unset HISTFILE
