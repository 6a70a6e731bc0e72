# shellcheck shell=sh disable=SC2016 # conditions of slurm_wait are evaluated later
# A Slurm cluster of three nodes on this machine, without munge: for suites that read this file
# after functions.sh. Needs root.
#
#	slurm_start DIRECTORY   starts it, and has it stopped at the end of the test
#
# It listens on loopback names and ports of its own; $SLURM_CONF is exported.

# slurm_conf DIRECTORY PORT: prints the configuration.
slurm_conf() {
	cat <<END
ClusterName=gow
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$2
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
ReturnToService=2
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/spool-%n
SlurmctldPidFile=$1/slurmctld.pid
SlurmdPidFile=$1/%n.pid
SlurmctldLogFile=$1/slurmctld.log
SlurmdLogFile=$1/%n.log
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,requeue_delay=1
KillWait=5
JobRequeue=1
NodeName=n[1-3] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=[$(($2 + 1))-$(($2 + 3))] CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=10 State=UP OverSubscribe=NO
END
}

# Four ports in a row, by this process's number: suites of other builds run at the same time.
slurm_start() {
	mkdir -p "$1/state"
	slurm_conf "$1" $((20000 + $$ % 3000 * 4)) >"$1/slurm.conf"
	SLURM_CONF=$1/slurm.conf
	export SLURM_CONF
	slurmctld -D >"$1/slurmctld.out" 2>&1 &
	slurm_pids=$!
	for slurm_node in n1 n2 n3; do
		slurmd -D -N "$slurm_node" >"$1/$slurm_node.out" 2>&1 &
		slurm_pids="$slurm_pids $!"
	done
	at_end slurm_stop
	slurm_wait '[ "$(sinfo -h -o "%D %T" 2>/dev/null)" = "3 idle" ]' && return
	fail 'the cluster did not start'
	cat "$1"/*.out
	return 1
}

slurm_stop() {
	scancel --user="$(id -un)" 2>/dev/null
	slurm_wait '[ -z "$(squeue -h 2>/dev/null)" ]'
	# shellcheck disable=SC2086 # a list of numbers
	kill $slurm_pids
	# shellcheck disable=SC2086
	wait $slurm_pids 2>/dev/null
}

# slurm_wait CONDITION: waits until it holds, for a minute at most.
slurm_wait() {
	slurm_tries=0
	until eval "$1"; do
		slurm_tries=$((slurm_tries + 1))
		[ "$slurm_tries" -lt 300 ] || return 1
		sleep 0.2
	done
}
